"""Several processes that train one game: the first leads, the others do what it orders.

    launching.py   who is one of several; starting the others
    connections.py the lines between them
    orders.py      what is ordered
    leading.py     the first process: it alone decides, prints, writes, evaluates
    following.py   each of the others
    alike.py       what has to be the same in all of them, compared before the first step

The gradients do not go this way: nvn/engine/processes.py.
"""
