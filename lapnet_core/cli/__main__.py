"""`python -m lapnet_core.cli`, for torchrun."""

import sys

from lapnet_core.cli import main

sys.exit(main())
