"""Prints the lowest version of each dependency that the installed distribution allows, as pins for pip.

Only what a user of the distribution gets is pinned, not the tools of its tests.
"""

from importlib.metadata import requires

from packaging.requirements import Requirement

pins = set()
for line in requires("aiohttp-worker") or []:
    requirement = Requirement(line)
    if requirement.marker is None or requirement.marker.evaluate({"extra": "all"}):
        (floor,) = [part.version for part in requirement.specifier if part.operator == ">="]
        pins.add(f"{requirement.name}=={floor}")
print("\n".join(sorted(pins)))
