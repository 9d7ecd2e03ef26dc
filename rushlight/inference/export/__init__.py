"""A trained model in a format that other programs run: see `export_model` in `rushlight.inference.export.exporting`."""
