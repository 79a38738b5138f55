"""The steps of a local night: what each does with the night that is being made. `pipelines.nightly` puts them in order."""
