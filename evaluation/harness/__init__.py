"""uhd-edge inside other evaluation harnesses: a class for lmms-eval and one for VLMEvalKit.

In: a harness's own questions. Out: answers, as an `Assistant` in the same process gives them. Read `asking.py` first.
`lmms_eval_entry.py` is how lmms-eval finds its class by name. `docs/evaluating.md` has the commands.
"""
