"""A study: a space, a budget and a rule; its ledger, its plan, its report. Knows no cluster."""
