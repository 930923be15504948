@echo off
rem The PNG of every folder that holds just one: into onepagers\. Options: move_single.bat --help
rem May be copied into the folder of the documents and started there, by a double click too.
setlocal DisableDelayedExpansion
set JOB=move_single
set PLACE=

rem Where the toolkit is: as filled in by prepare.py launchers, as PAGESORT_HOME says, in a folder
rem above this file or above the working folder, or where the Python environment in use is.
set HOME_FOUND=
if defined PLACE call :look "%PLACE%"
if defined PAGESORT_HOME call :look "%PAGESORT_HOME%"
call :upwards "%~dp0."
call :upwards "%CD%"
if defined VIRTUAL_ENV call :upwards "%VIRTUAL_ENV%"
if not defined HOME_FOUND (
    echo error: the folder of pagesort was not found. Type: set PAGESORT_HOME=C:\its\folder 1>&2
    exit /b 1
)

set PYTHON=python
if not defined VIRTUAL_ENV if exist "%HOME_FOUND%\.venv\Scripts\python.exe" set "PYTHON=%HOME_FOUND%\.venv\Scripts\python.exe"
if defined PAGESORT_PYTHON set "PYTHON=%PAGESORT_PYTHON%"
set PYTHONUTF8=1

rem A copy works on the folder it lies in, the toolkit's own launcher on the working folder.
set PAGESORT_HERE=
if not exist "%~dp0..\prepare.py" set "PAGESORT_HERE=%~dp0."
"%PYTHON%" "%HOME_FOUND%\data_scripts\prepare.py" %JOB% %*
exit /b %ERRORLEVEL%

:upwards
if defined HOME_FOUND exit /b
call :look "%~f1"
if defined HOME_FOUND exit /b
if "%~f1"=="%~f1\.." exit /b
for %%I in ("%~f1\..") do if not "%%~fI"=="%~f1" call :upwards "%%~fI"
exit /b

:look
if defined HOME_FOUND exit /b
if exist "%~1\data_scripts\prepare.py" if exist "%~1\pagesort\" set "HOME_FOUND=%~1"
exit /b
