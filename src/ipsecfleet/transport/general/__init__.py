"""The general path: fabric opens, a paramiko channel executes, each on threads.

It knows jump hosts, agents, encrypted keys and old servers, and takes over wherever the fast path does not fit.
"""
