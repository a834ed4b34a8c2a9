"""`hailo-ctl doctor`: looks at everything a working service needs and says what to do about what is wrong."""
