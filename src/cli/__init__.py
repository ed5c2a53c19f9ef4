"""The command-line programs behind train.py and evaluate.py."""
