"""What every other room may rely on: errors, atomic files, random numbers, configuration."""
