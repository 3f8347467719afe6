"""What a bug report has to say of the machine, found out by trying."""

from activitynet.doctor.diagnosis import Diagnosis, Problem, diagnose

__all__ = ["Diagnosis", "Problem", "diagnose"]
