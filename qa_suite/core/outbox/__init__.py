"""What is to be told to MLflow: written down beside the work, sent whenever the store answers.

A server that is away, silent or full decides nothing: no work waits for it, and nothing that it
missed is lost. The operations of a run stand in ``outbox.jsonl`` in the folder of the work; they
are sent in their order, each may be sent twice without harm, and the run is marked as finished
last. What waits is sent by the next command and by ``qa-suite sync``. What a server that answers
refuses for good is set aside in ``outbox-refused.jsonl``, where it holds nothing up, until somebody
sends it again or gives it up.
"""
