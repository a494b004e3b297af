"""What is left of runs, shown: a report as one page, and several runs beside one another.

    a run's folder → RunShown → charts → html

Only files are read: no recipe's code is run, so a stranger's folder can be looked at.
"""

from nvn.report.writing import write_report

__all__ = ["write_report"]
