"""Here for one case: `import nvn` in the folder above a checkout that is itself called nvn.

Python looks in the current folder first, and would take this checkout for an empty package of the
name, without a word. With this file that package is nvn: the folder nvn in here, as installed.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parent / "nvn")]
__file__ = str(Path(__path__[0]) / "__init__.py")
exec(compile(Path(__file__).read_bytes(), __file__, "exec"))
