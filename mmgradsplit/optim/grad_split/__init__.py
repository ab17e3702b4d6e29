"""GradSplit: which parameters the task step of a task may move."""
