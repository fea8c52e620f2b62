"""`python -m qa_pipeline.cli`: the same as `docqa`."""

import sys

from qa_pipeline.cli.main import main

sys.exit(main())
