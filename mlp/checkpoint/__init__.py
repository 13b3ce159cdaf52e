"""Models, states and runs on disk. Read `files` (whole files or none, archives), then `models`, `states`, `runs`."""

from mlp.checkpoint.files import atomic_write as atomic_write
from mlp.checkpoint.models import load as load
from mlp.checkpoint.models import load_notes as load_notes
from mlp.checkpoint.models import save as save
from mlp.checkpoint.runs import Run as Run
from mlp.checkpoint.runs import read_configuration as read_configuration
from mlp.checkpoint.runs import write_configuration as write_configuration
from mlp.checkpoint.states import load_state as load_state
from mlp.checkpoint.states import save_state as save_state
