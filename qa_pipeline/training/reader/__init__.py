"""Fine-tuning of extractive readers: model, windows, batches, distillation, unanswerable questions, and validation."""
