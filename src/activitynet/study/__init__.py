"""Studies: recipes compared over seeds, in runs that several processes share and that survive a kill."""

from activitynet.study.definition import Budget, Study, Subset
from activitynet.study.results import StudyResult
from activitynet.study.running import read_study, run_study
from activitynet.study.study_files import list_studies, load_study

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
