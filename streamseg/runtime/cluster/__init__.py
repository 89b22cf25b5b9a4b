"""The Ray runtime: the stages of the local one, in processes of their own.

    Decoder        one for each stream      source, selection; gives packs of frames to whoever pulls
    Worker         one for each GPU         the model; pulls all its streams, batches over them, follows each of them
    EmitterHost    one for some streams     sinks, records, commits: the truth about how far a stream is
    coordinator    in the driver, or in an actor of a detached run: places streams, watches, places them again

A stream is placed under a *lease*, a number that grows. Emitters take results of the latest lease only, and each frame
once, so a worker that was thought dead cannot do harm, and a replay from the last commit goes unnoticed.
"""
