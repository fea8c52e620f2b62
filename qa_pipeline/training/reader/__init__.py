"""Fine-tuning of extractive readers: the model, windows, batches, distillation, unanswerable questions, and validation."""
