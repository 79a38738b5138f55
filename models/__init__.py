"""Models of tracks: embeddings, retrieval, rankers, sequence states. They hold tracks, never listeners.

TFRS 0.7 needs Keras 2, so `TF_USE_LEGACY_KERAS` is set here, before anything can import TensorFlow. Importing this
package, `models.registry` or `models.vocabulary` imports no TensorFlow.
"""

from __future__ import annotations

import os

from models.chatter import quiet
from models.threads import by_default

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# Its kernels sum in another order than TensorFlow's own. The image has them off; equal versions mean equal bytes elsewhere too.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
# TensorFlow reports a missing GPU as an error; what matters is raised, not logged.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
by_default()
quiet("tensorflow")
