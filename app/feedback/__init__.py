"""What people say: judgements, the review queue, audits, and the promises that they keep or break."""
