"""What the launcher's image starts. Kept empty of logic: nothing of it is known on a worker."""

import sys

from dataflow_templates.launch import main

if __name__ == "__main__":
    sys.exit(main())
