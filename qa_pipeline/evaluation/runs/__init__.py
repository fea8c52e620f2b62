"""What evaluation runs share: the results folder, stored predictions, records of questions, and plots."""
