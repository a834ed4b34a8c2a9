"""What is behind `hailo_platform`: library, driver and chip, as far as a program can tell them apart."""
