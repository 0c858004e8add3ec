"""The operator's shell: watch, queue, observe, plan, execute, report. Decides nothing; `planning` does."""
