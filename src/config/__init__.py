"""The YAML files, the schema of the settings, and the loader that checks them."""
