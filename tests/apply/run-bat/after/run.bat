@echo off
setlocal
rem set COMMANDLINE_ARGS=--highvram
set PYTHON=%~dp0venv\Scripts\python.exe
set COMMANDLINE_ARGS=--listen --ckpt-dir "D:\my models & more" --reserve-vram 0.39
set "wan_dtype=bf16"
set "OMP_NUM_THREADS=48"
if exist extra.bat (
    set EXTRA=--x
    call extra.bat
)
"%PYTHON%" main.py %COMMANDLINE_ARGS% %EXTRA%
pause