"""The exact solver's own process: a model of plain numbers on stdin, its answer on stdout.

Run as a file by whatever interpreter has OR-Tools; it imports nothing of Continuo. Solvers take their time, their memory and
sometimes the whole process with them: so this one is a child that can be killed.

In, all costs being integers:
{"sites": count, "free": [[cpu, memory, gpus] of each site],
 "units": [{"room": [cpu, memory, gpus], "costs": {site: cost}, "absent": cost, "hint": site or null}],
 "pairs": [[unit, unit, {"site,site": cost}]], "apart": [[unit, unit]], "purses": [[limit, [[unit, {site: price}]]]],
 "balance": [[site, resource, steep, slope]],
 "spreads": [{"most": n, "domains": [domain of each site], "counts": [of what stays, by domain],
              "members": [[unit, count, class, current site]], "eligible": [[domains] of each class]}],
 "seconds": s, "seed": n}
Sites that a unit's costs do not name are none for it, nor are pairs of sites that a pair's costs do not name.
Out: {"status": word, "places": [site or null], "objective": n, "bound": n} or {"error": sentence}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

Json = Any
TANGENTS = 16


def main() -> int:
    """Solve what stands on stdin."""
    asked = json.load(sys.stdin)
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        json.dump({"error": f"the exact solver needs OR-Tools: {error}"}, sys.stdout)
        return 1
    json.dump(_Model(cp_model, asked).solve(), sys.stdout)
    return 0


class _Model:
    """The constraint model."""

    def __init__(self, cp: Json, asked: Json) -> None:
        self.cp, self.asked, self.model = cp, asked, cp.CpModel()
        self.objective: list[Json] = []
        self.at: list[dict[int, Json]] = []
        self.absent: list[Json] = []
        for number, unit in enumerate(asked["units"]):
            self._unit(number, unit)
        self._rooms()
        for pair in asked["pairs"]:
            self._pair(*pair)
        for one, other in asked["apart"]:
            for site in self.at[one].keys() & self.at[other].keys():
                self.model.add_at_most_one([self.at[one][site], self.at[other][site]])
        for limit, prices in asked["purses"]:
            terms = [price * self.at[unit][int(site)] for unit, by in prices for site, price in by.items()]
            self.model.add(sum(terms) <= limit)
        for spread in asked["spreads"]:
            self._spread(**spread)
        self.model.minimize(sum(self.objective))

    def _unit(self, number: int, unit: Json) -> None:
        sites = {int(site): self.model.new_bool_var(f"u{number}s{site}") for site in unit["costs"]}
        absent = self.model.new_bool_var(f"u{number}absent")
        self.model.add_exactly_one([*sites.values(), absent])
        self.objective += [unit["costs"][str(site)] * var for site, var in sites.items()]
        self.objective.append(unit["absent"] * absent)
        for site, var in sites.items():
            self.model.add_hint(var, int(site == unit["hint"]))
        self.model.add_hint(absent, int(unit["hint"] is None))
        self.at.append(sites)
        self.absent.append(absent)

    def _rooms(self) -> None:
        units = self.asked["units"]
        steep = {(site, resource): (a, b) for site, resource, a, b in self.asked["balance"]}
        for site, free in enumerate(self.asked["free"]):
            here = [
                (unit["room"], self.at[number][site]) for number, unit in enumerate(units) if site in self.at[number]
            ]
            for resource, room in enumerate(free):
                terms = [wanted[resource] * var for wanted, var in here if wanted[resource] > 0]
                if terms:
                    self.model.add(sum(terms) <= room)
                    if (site, resource) in steep:
                        self._balance(terms, room, *steep[site, resource])

    def _balance(self, terms: list[Json], room: int, steep: float, slope: float) -> None:
        """A square as the highest of its tangents: never above it, and linear."""
        load = self.model.new_int_var(0, max(0, room), "")
        self.model.add(load == sum(terms))
        cost = self.model.new_int_var(0, int(steep * room * room + slope * room) + 1, "")
        for step in range(TANGENTS + 1):
            at = max(0, room) * step / TANGENTS
            rise = int(2 * steep * at + slope)
            self.model.add(cost >= rise * load - int(steep * at * at) - 1)
        self.objective.append(cost)

    def _pair(self, one: int, other: int, costs: dict[str, int]) -> None:
        """What two units cost together: bounds as implications, costs as what is at least paid."""
        by: dict[int, dict[int, int]] = {}
        for key, cost in costs.items():
            here, there = key.split(",")
            by.setdefault(int(here), {})[int(there)] = cost
        paid = self.model.new_int_var(0, max(costs.values(), default=0), "")
        for site, var in self.at[one].items():
            allowed = by.get(site, {})
            fine = [self.at[other][there] for there in allowed if there in self.at[other]]
            self.model.add_bool_or([*fine, self.absent[other]]).only_enforce_if(var)
            terms = [
                cost * self.at[other][there] for there, cost in allowed.items() if cost and there in self.at[other]
            ]
            if terms:
                self.model.add(paid >= sum(terms)).only_enforce_if(var)
        self.objective.append(paid)

    def _spread(
        self, most: int, domains: list[int], counts: list[int], members: list[Json], eligible: list[list[int]]
    ) -> None:
        """Where a member goes that was not there, its domain may not have too many more than another that could take it."""
        totals = [*counts]
        moved: dict[tuple[int, int], list[Json]] = {}
        for unit, count, number, current in members:
            for site, var in self.at[unit].items():
                if domains[site] >= 0:
                    totals[domains[site]] += count * var
                    if site != current:
                        moved.setdefault((number, domains[site]), []).append(var)
        for (number, domain), variables in moved.items():
            for other in eligible[number]:
                for var in variables if other != domain else ():
                    self.model.add(totals[domain] - totals[other] <= most).only_enforce_if(var)

    def solve(self) -> Json:
        """One thread and a fixed seed: the answer depends on the machine's speed alone, and that by the deadline only."""
        solver = self.cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = self.asked["seed"]
        solver.parameters.linearization_level = 2
        solver.parameters.max_time_in_seconds = self.asked["seconds"]
        status = solver.solve(self.model)
        found = {"status": solver.status_name(status).lower()}
        if status not in (self.cp.OPTIMAL, self.cp.FEASIBLE):
            return found
        places = [next((site for site, var in sites.items() if solver.value(var)), None) for sites in self.at]
        return {**found, "places": places, "objective": solver.objective_value, "bound": solver.best_objective_bound}


if __name__ == "__main__":
    raise SystemExit(main())
