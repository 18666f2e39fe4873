"""What can be typed after `akashi`: options and output, nothing more. Heavy imports wait until a command runs."""
