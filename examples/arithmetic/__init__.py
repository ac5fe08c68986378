"""What a model computes when it is asked for numbers: questions, models, and the audit."""
