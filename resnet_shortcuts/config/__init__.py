"""The config of an experiment: its models, YAML with lines, errors that name file and line."""
