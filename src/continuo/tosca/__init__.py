"""TOSCA blueprints of CHARITY applications: read, checked, and converted to LowLevelOrchestration applications.

    text --yaml_nodes--> located values --reader--> Blueprint --convert--> Conversion --deployment--> documents

Nothing here raises for bad input and nothing does I/O: every step returns what it made and the `Problem`s that it
found, each with file, line and column. `convert_text` in `convert` is the whole way in one call.
"""
