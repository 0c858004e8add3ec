"""What every room may use: reasons, errors, names, logs. Imports nothing of ours."""
