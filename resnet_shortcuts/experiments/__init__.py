"""Experiments: config, plan, stored runs and the runner."""
