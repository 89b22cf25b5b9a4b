"""How many machines a number of cameras takes, on paper: stage costs, closed formulas, and a simulation of them.

costs       what one frame costs in each stage, and where each number comes from
demand      what is asked for: streams, rates, sizes, devices
stages      both together: seconds and bytes of this demand's frames
batching    what one worker can do, and how long a frame then takes
placement   workers, cores, memory, network, disk, nodes
limits      what is too much, and what is done about it
simulation  frames of one worker, event by event: the formulas' check
"""
