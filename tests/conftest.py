"""What every test shares."""

import os

# several numeric threads on two cores fight each other: a fit of half a second then takes twelve
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
