"""Translators in MLflow: registering, model card, fine-tuning, and what runs when one is served."""
