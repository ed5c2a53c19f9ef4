"""What every training run shares: the task module, EMA, checkpoints, exact resume, loggers, callbacks."""
