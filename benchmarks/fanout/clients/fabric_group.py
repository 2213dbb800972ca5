"""fabric's ThreadingGroup, as its own documentation has it."""

import sys

from fabric import ThreadingGroup
from fabric.exceptions import GroupException

hosts, home, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
options = {"key_filename": f"{home}/id", "look_for_keys": False, "allow_agent": False, "banner_timeout": 5}
group = ThreadingGroup(*hosts, user="root", connect_kwargs=options, connect_timeout=5)
try:
    results = group.run(command, hide=True, warn=True)
except GroupException as error:
    results = error.result
print(sum(hasattr(result, "stdout") and len(result.stdout) >= 20480 for result in results.values()))
