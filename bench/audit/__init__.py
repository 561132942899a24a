"""The audit trail's figures: shipping, verdicts, outages, questions, sizes (`python -m bench.audit`)."""
