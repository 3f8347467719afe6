"""Studies: configurations compared over seeds, in runs that several processes share and that resume."""

from activitynet.study.definition import Budget, Study, Subset, list_studies, load_study
from activitynet.study.results import StudyResult
from activitynet.study.running import read_study, run_study

__all__ = [
    "Budget",
    "Study",
    "StudyResult",
    "Subset",
    "list_studies",
    "load_study",
    "read_study",
    "run_study",
]
