"""`hailo-ctl`: the administrator's command. Imports no service, no inference library and no web framework."""
