"""What other systems import of Nightshelf: the reader of its tables. It needs PyArrow and nothing else of the program."""
