"""Sensors as they are described, and what is asked of them. Pure.

- `annotation.decode(text) -> Decoded`: the annotation `sensors` of a Device, in all its shapes.
- `reading.sensor_of(type_data) -> Sensor`: the `typeData` of a Flavor; raises BadSensor.
- What is asked, as `Criteria`; all three raise BadFilter:
  `filters.from_selector(flavor_type, filters)`: the filters of a FLUIDOS selector;
  `query.from_query(flavor_type, pairs)`: REAR's query string;
  `where.from_where(text, flavor_type)`: `type == "Humidity" && latency < 16ms`.
- `query.to_query(criteria) -> Asked`: for a seller, what can be said in a query string.
- `criteria.matches(criteria, sensor) -> bool`.
- `index.Index`, for many flavors: `put(flavor)`, `drop(key)`, `find(criteria)`.
"""
