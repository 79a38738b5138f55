"""What comes next in a listening session of which nothing is known but its tracks so far."""
