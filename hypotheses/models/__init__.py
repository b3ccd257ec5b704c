"""Language models: what is asked of them, who answers, and how every answer is kept."""
